"""One file per engine; `caco_recipes.generation.engine` says what they have in common and opens them."""
