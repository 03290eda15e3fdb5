use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::{Contents, Look, Typed, active, newtype};
use crate::value::evaluate::Result;
use crate::value::tree::Kind;

/// `Ipv4Addr`, `Ipv6Addr` and either: their bytes stand in the order of the network, whatever the
/// member is called that has them.
pub(super) fn ip<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let inner = match active(look, object)? {
        Some((_, variant)) => look.member(&variant, "0")?,
        None => Some(object.clone()),
    };
    let Some(inner) = inner else { return Ok(None) };
    let text = match &*look.name(inner.of)? {
        "Ipv4Addr" => v4(look, &inner)?.map(|address| address.to_string()),
        "Ipv6Addr" => v6(look, &inner)?.map(|address| address.to_string()),
        _ => None,
    };
    Ok(text.map(scalar))
}

/// `SocketAddrV4`, `SocketAddrV6` and either.
pub(super) fn socket<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let inner = match active(look, object)? {
        Some((_, variant)) => look.member(&variant, "0")?,
        None => Some(object.clone()),
    };
    let Some(inner) = inner else { return Ok(None) };
    let (Some(ip), Some(port)) = (
        look.member(&inner, "ip")?,
        newtype::member(look, &inner, "port")?,
    ) else {
        return Ok(None);
    };
    let Ok(port) = u16::try_from(port) else {
        return Ok(None);
    };
    let number = |name: &str| -> Result<u32> {
        let number = newtype::member(look, &inner, name)?;
        Ok(number
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0))
    };
    let text = match &*look.name(ip.of)? {
        "Ipv4Addr" => v4(look, &ip)?.map(|ip| SocketAddrV4::new(ip, port).to_string()),
        "Ipv6Addr" => {
            let (flow, scope) = (number("flowinfo")?, number("scope_id")?);
            v6(look, &ip)?.map(|ip| SocketAddrV6::new(ip, port, flow, scope).to_string())
        }
        _ => None,
    };
    Ok(text.map(scalar))
}

fn scalar<'a>(text: String) -> Contents<'a> {
    let kind = Kind::String;
    Contents::Scalar { kind, text }
}

fn v4(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Ipv4Addr>> {
    if look.size(object.of)? != Some(4) {
        return Ok(None);
    }
    let octets: [u8; 4] = object.object.array(look.target)?;
    Ok(Some(octets.into()))
}

fn v6(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Ipv6Addr>> {
    if look.size(object.of)? != Some(16) {
        return Ok(None);
    }
    let octets: [u8; 16] = object.object.array(look.target)?;
    Ok(Some(octets.into()))
}
