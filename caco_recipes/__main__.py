"""`python -m caco_recipes` is `caco`."""

import sys

from caco_recipes.cli import main

sys.exit(main())
