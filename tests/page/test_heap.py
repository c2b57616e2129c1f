"""Memory that is given back to the system."""

import platform
import subprocess
import sys

import pytest

CODE = """
import threading
import psutil
from hub_models.page.heap import give_back, use_few_arenas

use_few_arenas()
process, before = psutil.Process(), psutil.Process().memory_info().rss
held = []

def work():
    some = [bytearray(50_000) for _ in range(400)]
    held.append(some[::40])  # what stays keeps the heap from shrinking by itself

threads = [threading.Thread(target=work) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
give_back()
print(round((process.memory_info().rss - before) / 1e6))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only this library keeps memory for each thread")
def test_memory_that_threads_needed_and_freed_goes_back():
    grown = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 60  # the threads asked for 320 MB and hold 8
