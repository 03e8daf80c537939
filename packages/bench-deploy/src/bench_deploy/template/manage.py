"""The project's commands: python manage.py --makemigrations"""

import sys

from bench_deploy.manage import main

if __name__ == "__main__":
    sys.exit(main())
