"""Every method of the comparison; importing this package registers them in its tables' order."""

from hetlib.comparison.methods import direct as direct
from hetlib.comparison.methods import distributional as distributional
from hetlib.comparison.methods import games as games
from hetlib.comparison.methods import ideal_points as ideal_points
from hetlib.comparison.methods import latent as latent
from hetlib.comparison.registry import METHODS as METHODS
