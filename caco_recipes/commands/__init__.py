"""One file per `caco` command; each has `main(arguments) -> exit code`."""
