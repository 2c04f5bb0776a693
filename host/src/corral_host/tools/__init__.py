"""The commands for people on a host: vmctl, vmexec and volctl.

They act on this host alone and refuse what the source of truth decides.
"""
