"""`python -m exporter` is the command line."""

from exporter.cli import main

raise SystemExit(main())
