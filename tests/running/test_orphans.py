"""Whose children are whose: what asyncio started is asyncio's, what lost its parent is ours."""

import subprocess
import sys

# In a process of its own: it becomes the parent of others.
PROGRAM = """
import asyncio, os, time
from netpoint_remote.practice import orphans

async def own(number):
    child = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
    return await child.wait() == number

async def main():
    async with orphans.adopted():
        own_ones = [asyncio.create_task(own(number)) for number in range(100)]
        orphan = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.2 & echo $!", stdout=asyncio.subprocess.PIPE)
        left = int((await orphan.communicate())[0])
        for _ in range(200):
            time.sleep(0.02)  # so slow is nothing else of this program
            await asyncio.sleep(0)
        print(sum(await asyncio.gather(*own_ones)), "known")
        deadline = time.monotonic() + 60
        while os.path.exists(f"/proc/{left}") and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        print("there" if os.path.exists(f"/proc/{left}") else "gone")
        away = await asyncio.create_subprocess_exec("setsid", "sh", "-c", "(sleep 4321 &); exec sleep 4321")
    print("ended" if not orphans.descendants(os.getpid()) else "left", await away.wait())

asyncio.run(main())
"""


def test_the_status_of_own_children_is_known_and_orphans_are_taken_away() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )

    assert done.stdout.splitlines() == ["100 known", "gone", "ended -9"]
