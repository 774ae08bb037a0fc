"""Where the bytes of an image lie: under the hash of its content, shared by all projects."""

from enum import StrEnum

from app.core.storage import content_key


class Rendition(StrEnum):
    """What can be asked for: the file as it came, or a picture no longer than so many pixels."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
    PREVIEW = "preview"
    DEEP = "deep"


LONGEST_SIDE = {Rendition.THUMBNAIL: 256, Rendition.PREVIEW: 1280, Rendition.DEEP: 1280}
MEDIA_TYPES = {
    Rendition.THUMBNAIL: "image/jpeg",
    Rendition.PREVIEW: "image/jpeg",
    Rendition.DEEP: "image/png",
}


def blob_key(sha256: str, rendition: Rendition = Rendition.ORIGINAL) -> str:
    if rendition is Rendition.ORIGINAL:
        return content_key(sha256)
    return f"renditions/{sha256[:2]}/{sha256[2:4]}/{sha256}/{rendition}-{LONGEST_SIDE[rendition]}"
