# SPDX-License-Identifier: Apache-2.0
"""What all resources share."""

from __future__ import annotations

from typing import Any, ClassVar

from openstack import resource


class ProtectorResource(resource.Resource):
    """A resource of Protector's API.

    A plain openstacksdk resource: attributes, ``to_dict()``, ``fetch()``, ``list()``. A field that the service does not
    send, because it is not known or because the API version in use does not have it, is ``None``.
    """

    #: Names of the fields in the order in which they are shown. Set for each class from its annotations.
    field_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name, kind in cls.__dict__.get("__annotations__", {}).items() if "ClassVar" not in str(kind)]
        cls.field_names = tuple(dict.fromkeys([*cls.field_names, *own]))

    def fields(self) -> dict[str, Any]:
        """All fields, in order, as plain data."""
        return {name: getattr(self, name) for name in self.field_names}
