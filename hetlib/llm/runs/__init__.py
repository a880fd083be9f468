"""Plans, runs of a chapter, reports, estimates."""

from hetlib.extras import require

require("tqdm", "yaml")
