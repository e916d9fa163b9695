# SPDX-License-Identifier: Apache-2.0
"""Python SDK and OpenStackClient plugin for Protector, tenant-driven disaster recovery for OpenStack."""

__version__ = "0.1.0"
