from . import attempts, controllers
