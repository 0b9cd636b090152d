"""`caco push PATH REPO`: a run's dataset, a dataset folder or a model folder to the Hub (private unless --public)."""

import argparse


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco push", description=__doc__)
    parser.add_argument("path", help="run folder, dataset folder or model folder")
    parser.add_argument("repo", help="user/name on the Hub; made if it is not there")
    parser.add_argument("--public", action="store_true", help="make a new repository public")
    parser.add_argument("--revision", help="branch to push to; made if it is not there")
    parser.add_argument("--message", help="first line of the commit")
    options = parser.parse_args(arguments)
    from caco_recipes.hub import push

    done = push(
        options.path, options.repo, private=not options.public, revision=options.revision, message=options.message
    )
    print(done.text())
    return 0
