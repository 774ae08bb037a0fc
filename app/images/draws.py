"""Which images form the evaluation set: drawn when they arrive, in groups that belong together.

Photos of one lot look alike, so a lot is drawn as a whole, or a model would be examined on
photos it has all but seen. A lot that grows past its share continues as a new group, so that no
group ever holds more than 5 % of the images (with fewer than 20 images, each is a group).
"""

from uuid import UUID

from app.core.security import uniform_draw
from app.images.models import Split

LARGEST_GROUP_SHARE = 0.05
LARGEST_GROUP = 500


def is_full(group_size: int, image_count: int) -> bool:
    """Whether a group can take no further image of a project with so many."""
    return group_size >= max(1, min(LARGEST_GROUP, int(image_count * LARGEST_GROUP_SHARE)))


def new_group(lot: str, image_id: UUID) -> str:
    """Named after its first image, so that two groups of a lot never share a name."""
    return f"{lot}/{image_id}"


def draw_split(secret: bytes, group_key: str, rate: float) -> Split:
    """Evaluation with probability `rate`; the same for the whole group, and whoever asks."""
    drawn = uniform_draw(secret, "evaluation", group_key) < rate
    return Split.EVALUATION if drawn else Split.TRAIN
