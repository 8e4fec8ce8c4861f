"""cloud-init's data source for Hetzner, on a machine that is a container.

cloud-init knows Hetzner's machines by vendor and serial number in their BIOS, and does not look there in a container
(cloudinit/dmi.py), where the BIOS is the host's. Here the first process has the serial number in its environment. All
else is cloud-init's own: what is asked of the metadata service, how user-data is decoded, what a reboot asks again.
"""

from cloudinit import sources, url_helper, util
from cloudinit.sources import DataSourceHetzner as hetzner


def get_hcloud_data():
    serial = util.get_proc_env(1).get("HETZNER_SERIAL")
    return (serial is not None, serial)


hetzner.get_hcloud_data = get_hcloud_data


class DataSourceHetzner(hetzner.DataSourceHetzner):
    def _get_data(self):
        # At Hetzner, DHCP takes as long as the network needs. Without DHCP, the local cloud may be in the middle of a
        # restart, and cloud-init would go on without user-data.
        url = hetzner.BASE_URL_V1 + "/metadata/instance-id"
        url_helper.wait_for_url([url], max_wait=120, timeout=5)
        return super()._get_data()

    def check_instance_id(self, sys_cfg):
        return self.get_instance_id() == get_hcloud_data()[1]


def get_datasource_list(depends):
    return sources.list_from_depends(
        depends, [(DataSourceHetzner, (sources.DEP_FILESYSTEM,))]
    )
