import click


@click.command(hidden=True)
def demo() -> None:
    pass


@click.command(hidden=True)
def demo_models() -> None:
    pass
