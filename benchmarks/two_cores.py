"""How much faster two cores are than one: run it when nothing else does.

    TMPDIR=/dev/shm python benchmarks/two_cores.py --data path/to/esc10 -o FILE

Time on the wall, in turns, with the start of processes. Every recording stands under many names
(hard links), so that the work is long enough for the processes that the command line uses then.
The load of the machine is written down with the results and should be near 0 at the start. All
files lie in memory there, as 250 000 clips are 55 GB of samples that a disk would have to write.
From the rates on two cores follow the minutes that 250 000 clips of 5 s take.
"""

if __name__ == "__main__":
    # Here, as every process that is started imports this file: the command line is as light.
    import core_scaling
    import measuring

    measuring.main(__doc__, core_scaling.measure)
