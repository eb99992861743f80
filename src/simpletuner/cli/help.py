"""What `--help` says of commands whose words are not click's, and where lines must stay as they are."""

from __future__ import annotations

CHECK_HELP = """Check a run: its files, every data set, and what becomes of each picture. Trains nothing.

The run is selected as for train. The report is printed, and written to report.json in the output folder.

\b
Switches:
  --no-scan    read only the files of the configuration: no picture is looked
               at, no report is written; answers at once
  --lokr       also show what a LoKr of every factor from 4 to 64 would be
  --deep       decode every picture once: damaged files, near-duplicates,
               pictures that are in a training and an evaluation set
  --json       print the report as JSON, and nothing else
  --html FILE  also write a page with every picture and its crop

\b
Exit codes: 0 everything can train (pictures may be left out), 2 the
configuration is wrong, 3 a data set cannot be used.
"""
CACHE_HELP = """Fill the caches of a run and stop: latents, masks and tokens of every data set.

The run is selected as for train. Several processes (num_processes) share the work.

\b
Switches:
  --prune         instead, remove what no data set of this run uses from its
                  cache folders
  --explain FILE  instead, say why a picture, or a cache entry, is (not) used
"""
PLAN_HELP = """Measure on this machine what a run will cost. Trains nothing, and writes no file of the run.

The run is selected as for train, and built as it would be. Of each size of
its data sets a few real updates are made and thrown away: memory, seconds.
So it is with one validation picture, one evaluated picture, one checkpoint.

\b
Switches:
  --alternatives  also measure what needs less memory, option by option; done
                  without asking where something does not fit
  --largest       measure only an update of the largest size
  --json          print everything as JSON, and nothing else

\b
Exit codes: 0 measured, 2 the configuration is wrong, 3 a data set cannot be
used, 4 nothing of this run fits into memory.
"""
CONFIGURE_HELP = """Write config.json, the dataloader file and the LyCORIS file, step by step.

It looks at your pictures, suggests what fits your card, reads the result as train would, and ends with the command to
run. PATH is another config.json, or its folder; one that is there is edited, and what is not asked about is kept.

\b
  --yes        ask nothing: answers are name=value, the others as suggested
  name=value   an answer (pictures=FOLDER card=24 teach=subject ...) or any
               option of a run; without --yes it is what is suggested

\b
Answers: card devices teach pictures captions words resolution crop batch
repeats adapter factor rank steps learning_rate prompt previews draw held_out
output reports hub. docs/configure.md explains them.

Ctrl-C leaves (exit code 130); nothing is written before the end.
"""
COMPLETION_HELP = """Print what makes TAB complete commands, options and their values.

SHELL evaluates it when it starts:

\b
  bash, zsh    eval "$(simpletuner completion bash)"   in .bashrc or .zshrc
  fish         simpletuner completion fish | source    in config.fish
"""
EXPORT_HELP = """Convert an adapter for another program, read it back, compare: one that differs is not written.

\b
Formats:
  diffusers  a .safetensors file (LoRA) or a folder for PEFT (LoRA, LoHa, LoKr)
  comfyui    names that ComfyUI's LoRA loader looks for
  kohya      names of kohya's scripts and what follows them
  merged     the whole model with the adapter in its weights, for any method
             but T-LoRA
"""
