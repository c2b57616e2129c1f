"""Put checkpoints on the Hub, each in one commit with its model card last.

    python -m hub_models.publish all --namespace USER --tag v1 --space USER/lung-xrays --project https://HOST/USER/NAME
    python -m hub_models.publish resnet --repo_id USER/my-resnet --private
    python -m hub_models.publish runs/unet/release --namespace USER --dry_run

Takes a folder, a role (the checkpoint that the page would use for it) or `all` roles. Everything is checked before
anything is sent, and after a break the same command sends what is missing. Needs a token that may write:
`hf auth login`, or the environment variable HF_TOKEN.
"""

import argparse

from huggingface_hub import CommitInfo

from hub_models.checkpoints.folder import CheckpointError
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.quiet import no_telemetry
from hub_models.publish.check import UnfitError
from hub_models.publish.upload import PublishError, check_targets, describe, prepare, publish


def main(argv: list[str] | None = None) -> list[CommitInfo]:
    """Publish the checkpoints on the command line, and print the address of each.

    Raises:
        SystemExit: With one sentence (exit code 1) when something could not be published.
    """
    no_telemetry()
    parser = argparse.ArgumentParser(
        prog="python -m hub_models.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", help=f"a checkpoint folder, a role ({', '.join(ROLES)}), or all")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--repo_id", help="USER/NAME on the Hub; created if it does not exist")
    target.add_argument("--namespace", help="a user or organisation; the name in it is chest-xray-ROLE")
    parser.add_argument("--private", action="store_true", help="for your eyes only; a public repository is refused")
    parser.add_argument("--project", metavar="ADDRESS", help="where the cards say that this project is cloned from")
    parser.add_argument("--space", metavar="USER/NAME", help="the Space that the cards link to")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead of writing to main")
    parser.add_argument("--tag", help="name the new commit, for example v1")
    parser.add_argument("--dry_run", action="store_true", help="check everything, list the files, send nothing")
    args = parser.parse_args(argv)
    try:
        releases = prepare(args.what, args.repo_id, args.namespace, args.project, args.space)
        if args.dry_run:
            print("\n".join(map(describe, releases)))
            return []
        complete = check_targets(releases, args.private, args.create_pr, args.tag)
        commits = []
        for release in releases:
            if release.repo_id in complete:
                print(f"{release.repo_id} holds this checkpoint as {args.tag} already, and stays as it is.")
                continue
            commits.append(publish(release, args.private, args.create_pr, args.tag))
            address = commits[-1].pr_url or commits[-1].repo_url
            print(f"{release.folder} is published: {address}\ncommit {commits[-1].oid}")
    except (PublishError, UnfitError, CheckpointError) as error:
        raise SystemExit(str(error)) from error
    return commits


if __name__ == "__main__":
    main()
