"""Settings of every Kizu process, read once from the environment (prefix `KIZU_`).

Nothing else reads environment variables. Each setting is listed in docs/reference/settings.md.
"""

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the IT person may change; the defaults suit one machine without Docker."""

    model_config = SettingsConfigDict(env_prefix="KIZU_", env_file=".env", extra="ignore")

    data_dir: Path = Field(Path("kizu-data"), description="Folder of everything Kizu writes.")
    database_url: str | None = Field(None, description="PostgreSQL URL; unset: embedded server.")
    broker_url: str | None = Field(None, description="Redis or Valkey URL; unset: embedded server.")
    storage_url: str | None = Field(
        None, description="`s3://bucket/prefix` for photos and weights; unset: a local folder."
    )
    s3_endpoint: str | None = Field(None, description="Address of an S3-compatible store.")
    s3_access_key: SecretStr | None = Field(None, description="Access key of the S3 store.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret key of the S3 store.")
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8600, description="Port the API listens on.", ge=1, le=65535)
    public_url: str | None = Field(None, description="Address people open, behind a proxy.")
    log_level: str = Field("INFO", description="Lowest level that is logged.")
    log_json: bool = Field(False, description="Log JSON lines instead of plain text.")

    upload_max_files: int = Field(100, description="Files in one upload request.", ge=1)
    upload_max_bytes: int = Field(256 * 2**20, description="Bytes in one upload request.", ge=2**10)
    request_max_bytes: int = Field(
        16 * 2**20, description="Bytes in any request that is no upload.", ge=2**10
    )
    image_max_pixels: int = Field(
        150_000_000, description="Pixels of one photo; larger ones are rejected.", ge=1
    )
    min_free_bytes: int = Field(
        200 * 2**20, description="Uploads stop with 507 when the disk has less than this left."
    )
    session_days: int = Field(14, description="Days a browser stays signed in.", ge=1)
    cookie_secure: bool = Field(False, description="Send the session cookie over HTTPS only.")

    job_lease_seconds: float = Field(
        30.0, description="A job whose worker is silent this long is taken over.", gt=0
    )
    job_stall_seconds: float = Field(
        120.0, description="A loop that has not moved this long loses its lease.", gt=0
    )
    job_max_attempts: int = Field(5, description="Attempts before a job counts as failed.", ge=1)
    review_lease_seconds: int = Field(300, description="How long a reviewer holds an image.", ge=1)
    purge_after_hours: float = Field(
        24.0, description="Hours after which a deleted photo leaves the disks too.", ge=0
    )
    export_keep_hours: float = Field(
        168.0, description="Hours for which the file of an export can be fetched.", ge=0
    )
    sweep_seconds: float = Field(10.0, description="Time between two sweeps for lost work.", gt=0)
    token_store_bytes: int = Field(
        20 * 2**30, description="Disk budget of cached patch tokens.", ge=2**20
    )
    train_processes: int = Field(
        0, description="Processes that tune one backbone; 0: one for each GPU if large.", ge=0
    )
    train_cpu_seconds: float = Field(
        900, description="Planned length of a training without a GPU; 0: what it needs.", ge=0
    )
    torch_threads: int = Field(0, description="Threads of PyTorch; 0 lets it choose.", ge=0)

    @property
    def blob_dir(self) -> Path:
        return self.data_dir / "blobs"


@lru_cache
def get_settings() -> Settings:
    return Settings()
