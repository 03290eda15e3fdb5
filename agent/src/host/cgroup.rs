/// The container's id in the text of `/proc/pid/cgroup` (cgroups(7)); empty outside one.
///
/// Docker, containerd, CRI-O and Podman all name the last folder after the container: 64
/// hexadecimal digits, bare or as `docker-….scope`, `cri-containerd-….scope`, `libpod-….scope`.
pub fn container_id(text: &str) -> String {
    text.lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .flat_map(|path| path.rsplit('/'))
        .find_map(id_in)
        .unwrap_or_default()
        .to_owned()
}

const ID_DIGITS: usize = 64;

fn id_in(folder: &str) -> Option<&str> {
    folder
        .split(['-', '.', ':'])
        .find(|word| word.len() == ID_DIGITS && word.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::container_id;

    const ID: &str = "3f0c1e9a5b7d24680ace13579bdf02468ace13579bdf02468ace13579bdf0246";

    fn check(text: &str, expected: &str) {
        assert_eq!(container_id(text), expected, "{text:?}");
    }

    #[test]
    fn each_runtimes_folder_holds_the_id() {
        check(&format!("0::/system.slice/docker-{ID}.scope\n"), ID);
        check(
            &format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"),
            ID,
        );
        check(
            &format!("0::/kubepods.slice/kubepods-podab12.slice/cri-containerd-{ID}.scope\n"),
            ID,
        );
        check(
            &format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
            ID,
        );
        check(&format!("0::/kubepods/besteffort/pod1/crio-{ID}\n"), ID);
    }

    #[test]
    fn outside_a_container_there_is_none() {
        check("0::/user.slice/user-1000.slice/session-2.scope\n", "");
        check("0::/\n", "");
        check("", "");
        check(&format!("0::/docker-{}.scope\n", &ID[1..]), "");
    }
}
