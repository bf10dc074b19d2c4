# What the shell of each job of ours does first; `command` in common.smk sources it. Snakemake's own shell.prefix is global,
# and a workflow that uses this one as a module has rules of its own.
#
#   . job.sh LOCK INTERPRETER [NAME=VALUE ...]
#
# LOCK: file that all jobs of the study lock. INTERPRETER: folder of the running interpreter; empty if conda brings one.
# NAME=VALUE: further variables of the environment.
set -euo pipefail
export "${@:3}" PYTHONSAFEPATH=1 # Python imports nothing from the working folder, which may hold files of others.
# Conda's activation deletes this variable before these lines run. What the user has in it is kept.
PYTHONPATH="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
# By default, glibc returns the memory of every layer to the kernel, and asks for it again for the next layer.
# Keeping it saves a tenth of a small network's time on a CPU.
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=67108864
# All that the shell starts inherits the lock, so a new run knows of jobs that have outlived their run.
if command -v flock >/dev/null && exec 8<>"$1"; then flock --shared --wait 9 8 || true; fi
# So .venv/bin/snakemake works without activation, and in jobs of a cluster.
if [ -n "$2" ]; then export PATH="$2:$PATH"; fi
