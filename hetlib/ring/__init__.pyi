from . import curves as curves
from . import environment as environment
from . import fits as fits
from . import network as network
from . import runs as runs
from . import training as training
