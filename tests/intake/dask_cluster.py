"""A Dask cluster with two worker processes on this machine, until standard input ends.

It prints its address, in a process of its own: Dask has threads and warnings that tests need not.
"""

from __future__ import annotations

import sys

from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
