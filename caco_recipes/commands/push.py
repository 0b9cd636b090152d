"""`caco push PATH REPO`: a dataset folder, a model folder or a run's dataset to the Hub, private by default."""

import argparse


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco push",
        description=(
            "Pushes a dataset folder, a model folder, or a run's folder (its published dataset; while the run is going, "
            "what is finished, under a card that says so). Safe to repeat: what the Hub has is not sent again."
        ),
    )
    parser.add_argument("path", help="dataset folder, model folder or run folder")
    parser.add_argument("repo", help="Hub repository, user/name; made if it is not there")
    parser.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    parser.add_argument("--revision", help="push to this branch; made if it is not there")
    parser.add_argument("--message", help="the commit's first line")
    options = parser.parse_args(arguments)
    from caco_recipes.hub import push

    done = push(
        options.path, options.repo, private=not options.public, revision=options.revision, message=options.message
    )
    print(done.text())
    return 0
