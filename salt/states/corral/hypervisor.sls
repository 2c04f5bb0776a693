#!py
"""A hypervisor: the libvirt XML of each domain, for now as files in /etc/corral/domains.

Files that the document does not name are left alone; `ensure: absent` removes that one file.
"""


def run() -> dict:
    """Return the states; raise, and so fail the run, without a good pillar."""
    if "corral.document" not in __salt__:
        raise KeyError("Corral: this minion has no module 'corral'; run saltutil.sync_all first")
    domains = __salt__["corral.section"]("hypervisor").get("domains", {})
    folder = __salt__["corral.directory"]() + "/domains"
    states = {
        "corral: domains": {
            "file.directory": [{"name": folder}, {"mode": "0700"}, {"makedirs": True}],
        },
    }
    for name, domain in sorted(domains.items()):
        path = f"{folder}/{__salt__['corral.file_name'](name)}.xml"
        if domain["ensure"] == "absent":
            states[f"corral: domain {name}"] = {"corral.file_absent": [{"name": path}]}
        elif domain["ensure"] == "present" and "unsupported" in domain and "xml" not in domain:
            # Not for libvirt, as Docker is: the document says why; there is nothing to write.
            states[f"corral: domain {name}"] = {
                "test.nop": [{"name": f"not for libvirt: {domain['unsupported']['reason']}"}],
            }
        elif domain["ensure"] == "present":
            states[f"corral: domain {name}"] = {
                "corral.file": [
                    {"name": path},
                    {"contents": domain["xml"]},
                    {"require": [{"file": "corral: domains"}]},
                ],
            }
        else:
            raise ValueError(f"Corral: domain {name}: unknown ensure {domain['ensure']!r}")
    return states
