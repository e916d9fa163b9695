# SPDX-License-Identifier: Apache-2.0
"""What a person sees while an operation runs."""
