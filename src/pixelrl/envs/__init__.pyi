from .flat import FlatPixels as FlatPixels
from .parallel import PixelParallelEnv as PixelParallelEnv
from .pixel import PixelEnv as PixelEnv
from .registry import ENVIRONMENTS as ENVIRONMENTS
from .tensordicts import PixelTensorDictEnv as PixelTensorDictEnv
from .vector import PixelVectorEnv as PixelVectorEnv
