"""Tells which members of a client the cases call.

A class is wrapped from without: its files stay as they were installed, and it
does what it did. Only calls out of these files count, not those among the
client's own.
"""
import functools, inspect, os, sys, typing

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_PROTOCOLS = {"__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__aiter__", "__await__", "__call__"}

known = set()
_seen = set()


def taken():
    """What was called, made or caught since the last time."""
    names = sorted(_seen)
    _seen.clear()
    return names


def caught(error, kind):
    for name in (type(error).__name__, kind.__name__):
        if name in known:
            _seen.add(name)


def _called(*names):
    file = os.path.abspath(sys._getframe(2).f_code.co_filename)
    if file.startswith(_HERE) and "site-packages" not in file:
        _seen.update(names)


def record(module):
    """Wrap what a module exports."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value):
            known.add(name)
            setattr(module, name, _wrap(value, name))
        elif not inspect.isclass(value) or typing.is_typeddict(value) or getattr(value, "_is_protocol", False):
            continue  # a type that is not there at run time, or a constant
        elif issubclass(value, Exception):
            known.add(name)
        else:
            record_class(value)
    return module


def record_class(cls):
    """Wrap what a class offers: methods, properties, and what with and for call."""
    known.add(cls.__name__)
    for owner in cls.__mro__:
        if not owner.__module__.startswith("langsmith"):
            continue
        for key, value in list(vars(owner).items()):
            if key.startswith("_") and key not in _PROTOCOLS:
                continue
            wrapped = _member(value, cls.__name__, f"{cls.__name__}.{key}")
            if wrapped is not None:
                known.add(f"{cls.__name__}.{key}")
                setattr(cls, key, wrapped)
    made = cls.__init__

    @functools.wraps(made)
    def init(self, *args, **kwargs):
        _seen.add(cls.__name__)
        made(self, *args, **kwargs)
    cls.__init__ = init


def _member(value, *names):
    if isinstance(value, (classmethod, staticmethod)):
        return type(value)(_wrap(value.__func__, *names))
    if isinstance(value, property):
        return property(_wrap(value.fget, *names), value.fset, value.fdel, value.__doc__)
    if isinstance(value, functools.cached_property):
        return property(_wrap(value.func, *names))
    if inspect.isfunction(value):
        return _wrap(value, *names)
    return None


def _wrap(function, *names):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        _called(*names)
        return function(*args, **kwargs)
    return wrapper
