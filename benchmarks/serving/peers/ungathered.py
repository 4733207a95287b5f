"""Our server as it is, but each request's rows in a run of their own: what gathering them is measured against."""

from serving.__main__ import main
from serving.runner import Runner

if __name__ == "__main__":
    defaults = Runner.__init__.__kwdefaults__
    assert defaults is not None
    defaults["gather"] = False
    main()
