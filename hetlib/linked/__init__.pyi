from . import bounds as bounds
from . import corrected as corrected
from . import estimators as estimators
from . import joint as joint
from . import moment_problem as moment_problem
from . import moments as moments
