"""Which functions there are."""

from collections.abc import Callable, Sequence
from typing import Any

from worker_client.client import AsyncClient
from worker_client.runners.functions import arithmetic, machine, plain
from worker_client.runners.functions.backup import Backup
from worker_client.runners.functions.below import Below
from worker_client.runners.functions.cleanup import Cleanup
from worker_client.runners.functions.database import Database
from worker_client.runners.functions.files import Files
from worker_client.runners.functions.messages import Mail, Posts
from worker_client.runners.functions.refusing import answering
from worker_client.runners.functions.settings import FunctionSettings
from worker_client.runners.http import HttpRunner


def builtin(
    settings: FunctionSettings, *, directories: Sequence[str], http: HttpRunner, client: Callable[[], AsyncClient]
) -> dict[str, Callable[..., Any]]:
    """All of them. `directories`: where they may work besides `settings.paths`; `http` sends, `client` asks the server."""
    below = Below([*directories, *settings.paths])
    posts = Posts(http, settings.sms, settings.webhook)
    functions: dict[str, Callable[..., Any]] = {
        "Dayin": plain.dayin,
        "Test": plain.test,
        "Hello": plain.hello,
        "Time": plain.time,
        "Echo": plain.echo,
        "Math": arithmetic.math,
        "File": Files(below, write=settings.file.write).file,
        "Database": Database(settings.database, below).database,
        "Email": Mail(settings.email).email,
        "SMS": posts.sms,
        "Webhook": posts.webhook,
        "Backup": Backup(below).backup,
        "Cleanup": Cleanup(below).cleanup,
        "Monitor": machine.monitor,
        "Report": machine.Reports(client).report,
    }
    return {name: answering(function) for name, function in functions.items()}
