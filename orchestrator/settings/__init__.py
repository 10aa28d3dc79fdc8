"""Settings: what there is, where it comes from, what of it can change while the server runs."""

from orchestrator.settings.adopting import adopted as adopted
from orchestrator.settings.adopting import hidden as hidden
from orchestrator.settings.loading import COMMAND_LINE as COMMAND_LINE
from orchestrator.settings.loading import ENVIRONMENT as ENVIRONMENT
from orchestrator.settings.loading import PREFIX as PREFIX
from orchestrator.settings.loading import load as load
from orchestrator.settings.loading import unknown_variables as unknown_variables
from orchestrator.settings.sections import SECTIONS as SECTIONS
from orchestrator.settings.sections import Auth as Auth
from orchestrator.settings.sections import CommandFiles as CommandFiles
from orchestrator.settings.sections import Database as Database
from orchestrator.settings.sections import GitHub as GitHub
from orchestrator.settings.sections import Hidden as Hidden
from orchestrator.settings.sections import Limits as Limits
from orchestrator.settings.sections import Log as Log
from orchestrator.settings.sections import Notify as Notify
from orchestrator.settings.sections import SecretFiles as SecretFiles
from orchestrator.settings.sections import Server as Server
from orchestrator.settings.sections import Settings as Settings
from orchestrator.settings.sections import SettingsError as SettingsError
from orchestrator.settings.sections import Task as Task
from orchestrator.settings.sections import Tracing as Tracing
from orchestrator.settings.values import database_path as database_path
from orchestrator.settings.values import is_loopback as is_loopback
from orchestrator.settings.values import without_password as without_password
