"""`python -m benchmarks`: the measurements that need no photos.

`kizu demo --json`, `benchmarks.ssmll` and `benchmarks.pack_training` measure learning, and take a
pack and their time.
"""

from benchmarks import service

if __name__ == "__main__":
    service.main()
