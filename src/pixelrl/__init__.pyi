from .agent import Agent as Agent
from .agent import load as load
from .auto import Choice as Choice
from .auto import choose as choose
from .edits import Edit as Edit
from .edits import load_edits as load_edits
from .errors import InputError as InputError
from .errors import PixelRLError as PixelRLError
from .errors import UsageError as UsageError
from .functions import denoise as denoise
from .functions import edit_saliency as edit_saliency
from .functions import enhance as enhance
from .functions import restore as restore
from .noise.estimate import estimate_noise as estimate_noise
from .noise.model import NoiseModel as NoiseModel
from .policy_files import shipped_policies as shipped_policies
from .report.strip import strip as strip
from .result import Result as Result
from .rollout import Trajectory as Trajectory
from .trace import Trace as Trace
from .trace import load_trace as load_trace
from .trace import save_trace as save_trace

__version__: str
