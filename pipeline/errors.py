"""Errors that say what the caller should do: try again, or not. They know neither Airflow nor HTTP."""


class GavelError(Exception):
    """Any error whose message is meant for the person who runs the pipeline."""


class TryAgain(GavelError):
    """Something outside is away or busy; the same call may succeed later."""


class GiveUp(GavelError):
    """Trying again with the same input gives the same answer; somebody must change something."""


class SourceUnavailable(TryAgain):
    """The source of a day's rows did not answer."""


class StoreUnavailable(TryAgain):
    """The object store did not answer."""


class RegistryUnavailable(TryAgain):
    """MLflow did not answer."""


class DeployFailed(TryAgain):
    """The release did not go live everywhere; what was live before still is."""


class SettingsInvalid(GiveUp):
    """A setting has a value that cannot be used."""


class DataInvalid(GiveUp):
    """The rows are not what the dataset declares; the message names the column."""


class ModelRefused(GiveUp):
    """The model must not be used; the message says which check failed."""


class ChangeRefused(GiveUp):
    """What is live must not be changed so; the message says why and what to do instead."""
