#!/usr/bin/env bash
# The main process as a long job of its own, where login nodes do not let it live:
#   sbatch profiles/slurm/main.sh --configfile studies/imagenet69.yaml
# Called from the root of the project. Whatever follows is passed on to Snakemake.
#SBATCH --job-name=sat-main
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=7-00:00:00
#SBATCH --output=sat-main-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
PATH="$PWD/.venv/bin:$PATH"
# Snakemake takes the limits of the job that it runs in for those of the jobs that it submits.
unset "${!SLURM_@}" "${!SBATCH_@}"
exec snakemake --profile slurm "$@"
