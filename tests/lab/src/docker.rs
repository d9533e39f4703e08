//! The rules that Docker 20 and later writes for a bridge of containers: same chains,
//! matches and order, for `iptables-restore --noflush`.

/// A bridge with one container behind it, two of whose ports are published.
#[derive(Clone, Copy, Debug)]
pub struct DockerBridge<'a> {
    /// The bridge.
    pub interface: &'a str,
    /// Its network, such as `172.17.0.0/16`.
    pub network: &'a str,
    /// The container's address.
    pub container: &'a str,
    /// Ports of the host, and of the container.
    pub published: [(u16, u16); 2],
    /// An interface whose traffic a user lets through Docker's FORWARD.
    pub spared: Option<&'a str>,
}

impl DockerBridge<'_> {
    /// The rules.
    pub fn rules(&self) -> String {
        let Self { interface, network, container, published, spared } = self;
        let translated = published.map(|(host, inside)| {
            format!(
                "-A DOCKER ! -i {interface} -p tcp -m tcp --dport {host} -j DNAT --to-destination {container}:{inside}\n"
            )
        });
        let accepted = published.map(|(_, inside)| {
            format!(
                "-A DOCKER -d {container}/32 ! -i {interface} -o {interface} -p tcp -m tcp --dport {inside} -j ACCEPT\n"
            )
        });
        let spared = spared.map(|spared| {
            format!("-A DOCKER-USER -i {spared} -j ACCEPT\n-A DOCKER-USER -o {spared} -j ACCEPT\n")
        });
        let (translated, accepted) = (translated.concat(), accepted.concat());
        let spared = spared.unwrap_or_default();
        format!(
            "\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {network} ! -o {interface} -j MASQUERADE
-A DOCKER -i {interface} -j RETURN
{translated}COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
{accepted}-A DOCKER-ISOLATION-STAGE-1 -i {interface} ! -o {interface} -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o {interface} -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
{spared}-A DOCKER-USER -j RETURN
-I FORWARD 1 -i {interface} -o {interface} -j ACCEPT
-I FORWARD 1 -i {interface} ! -o {interface} -j ACCEPT
-I FORWARD 1 -o {interface} -j DOCKER
-I FORWARD 1 -o {interface} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-I FORWARD 1 -j DOCKER-ISOLATION-STAGE-1
-I FORWARD 1 -j DOCKER-USER
COMMIT
"
        )
    }
}
