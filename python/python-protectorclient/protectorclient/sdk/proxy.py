# SPDX-License-Identifier: Apache-2.0
"""The API as an openstacksdk proxy."""

from __future__ import annotations

from protectorclient.sdk._admin_calls import AdminCalls
from protectorclient.sdk._group_calls import GroupCalls
from protectorclient.sdk._operation_calls import OperationCalls


class Proxy(AdminCalls, GroupCalls, OperationCalls):
    """All calls of Protector's API, as one user of one cloud."""

    # Set here and not negotiated by openstacksdk: it speaks of services that it knows.
    skip_discovery = True
