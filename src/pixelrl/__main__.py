"""``python -m pixelrl``."""

from pixelrl.cli import main

if __name__ == "__main__":
    main()
