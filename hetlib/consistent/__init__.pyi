from . import expected as expected
from . import label_counts as label_counts
from . import losses as losses
from . import pair_losses as pair_losses
from . import tensors as tensors
