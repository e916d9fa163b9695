# SPDX-License-Identifier: Apache-2.0
"""Client library and OpenStackClient plugin for Protector, disaster recovery for OpenStack."""
