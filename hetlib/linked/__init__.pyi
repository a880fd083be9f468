from . import bounds as bounds
from . import corrected as corrected
from . import cross as cross
from . import moment_problem as moment_problem
from . import moments as moments
from . import network as network
from . import reward_bounds as reward_bounds
