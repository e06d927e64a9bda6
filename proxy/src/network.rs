//! Whom an address stands for, where clients are counted. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// One client: of IPv6 everybody has a whole /64.
pub fn client(address: IpAddr) -> IpAddr {
    network(address, 32, 64)
}

/// A client and its neighbours: a /24, or the /56 that a household gets.
pub fn neighbours(address: IpAddr) -> IpAddr {
    network(address, 24, 56)
}

fn network(address: IpAddr, bits_v4: u8, bits_v6: u8) -> IpAddr {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { bits_v4 } else { bits_v6 };
    IpNet::new(address, bits).map_or(address, |net| net.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_its_network() {
        for (address, one, with_neighbours) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.0"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.0"),
            ("2001:db8:1:2345:6:7:8:9", "2001:db8:1:2345::", "2001:db8:1:2300::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(client(address).to_string(), one);
            assert_eq!(neighbours(address).to_string(), with_neighbours);
        }
    }
}
