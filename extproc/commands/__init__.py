"""The commands of `extproc`, one a file: flags in, the work of other rooms done."""
