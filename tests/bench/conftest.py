from measuring import announcer, lanes

__all__ = ["announcer", "lanes"]
