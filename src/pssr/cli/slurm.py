"""What a job tells the SLURM scheduler that runs it."""

import os
import subprocess


def requeue() -> str:
    """Ask for the present job to be run again later.

    Returns:
        What came of it, in words.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not job:
        return "not a SLURM job; run the same command again to go on"
    try:
        said = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"job {job} could not be requeued ({error}); run the same command again to go on"
    if said.returncode:
        return f"job {job} could not be requeued ({said.stderr.strip()}); run the same command again to go on"
    return f"job {job} is requeued and will go on"
