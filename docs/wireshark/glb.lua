-- SPDX-License-Identifier: MIT
-- Wireshark's dissector for GLB's GUE (UDP port 19523): the tunnel's header, the hops, and the client's packet inside.
--
-- Once:    tshark -X lua_script:docs/wireshark/glb.lua -r capture.pcap
--          (not as root: newer versions run no Lua for it)
-- Always:  put this file into the folder that Wireshark's Help > About > Folders names for personal Lua plugins.
--
-- Filters: glb.hop == 10.0.0.12, glb.next_hop > 0 (a packet on its second chance), glb.malformed

local glb = Proto("glb", "GLB second-chance tunnel (GUE)")

local PORT = 19523
local HEADER_BYTES = 8 -- GUE's 4, and the first word of private data
local HOP_BYTES = 4
local PROTOCOLS = { [4] = "IPv4", [41] = "IPv6" }
local KINDS = { [0] = "data", [1] = "control" }

local f = {
	version = ProtoField.uint8("glb.version", "GUE version", base.DEC, nil, 0xc0),
	control = ProtoField.uint8("glb.control", "Message", base.DEC, KINDS, 0x20),
	hlen = ProtoField.uint8("glb.hlen", "Words of private data", base.DEC, nil, 0x1f),
	protocol = ProtoField.uint8("glb.protocol", "Protocol inside", base.DEC, PROTOCOLS),
	flags = ProtoField.uint16("glb.flags", "GUE flags", base.HEX),
	type = ProtoField.uint16("glb.type", "Private data type", base.DEC),
	next_hop = ProtoField.uint8("glb.next_hop", "Next hop (index)", base.DEC),
	hop_count = ProtoField.uint8("glb.hop_count", "Hop count", base.DEC),
	hop = ProtoField.ipv4("glb.hop", "Hop"),
	chance = ProtoField.string("glb.chance", "This packet"),
}
glb.fields = { f.version, f.control, f.hlen, f.protocol, f.flags, f.type, f.next_hop, f.hop_count, f.hop, f.chance }

local malformed = ProtoExpert.new("glb.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
glb.experts = { malformed }

-- A proxy moves next_hop on by one each time it sends a packet on.
local function chance_of(next_hop, hop_count)
	if next_hop == 0 then
		return "straight from a director"
	end
	return string.format("sent on %d time%s, %d hop%s left", next_hop, next_hop == 1 and "" or "s",
		hop_count - next_hop, hop_count - next_hop == 1 and "" or "s")
end

-- What contradicts the format in the fixed part of the header, or nil: the datapath's drop_bad_tunnel and drop_bad_hops.
local function fault_of(buffer)
	if buffer:len() < HEADER_BYTES then
		return "the header is cut off"
	end
	local hops_end = HEADER_BYTES + buffer(7, 1):uint() * HOP_BYTES
	if buffer(0, 1):bitfield(0, 2) ~= 0 then
		return "GUE version is not 0"
	elseif buffer(0, 1):bitfield(2, 1) ~= 0 then
		return "a control message, which GLB does not send"
	elseif buffer(2, 2):uint() ~= 0 then
		return "GUE flags are set, which GLB does not do"
	elseif buffer(4, 2):uint() ~= 0 then
		return "private data of an unknown type"
	elseif buffer(0, 1):bitfield(3, 5) ~= 1 + buffer(7, 1):uint() then
		return "hlen is not hop_count + 1"
	elseif buffer(6, 1):uint() > buffer(7, 1):uint() then
		return "next_hop is beyond hop_count"
	elseif hops_end > buffer:len() then
		return "the list of hops is cut off"
	elseif not PROTOCOLS[buffer(1, 1):uint()] then
		return "neither IPv4 nor IPv6 inside"
	end
	return nil
end

local function add_header(tree, buffer)
	tree:add(f.version, buffer(0, 1))
	tree:add(f.control, buffer(0, 1))
	tree:add(f.hlen, buffer(0, 1))
	tree:add(f.protocol, buffer(1, 1))
	tree:add(f.flags, buffer(2, 2))
	tree:add(f.type, buffer(4, 2))
	tree:add(f.next_hop, buffer(6, 1))
	tree:add(f.hop_count, buffer(7, 1))
end

local function add_hops(tree, buffer, next_hop, hop_count)
	for index = 0, hop_count - 1 do
		local item = tree:add(f.hop, buffer(HEADER_BYTES + index * HOP_BYTES, HOP_BYTES))
		item:append_text(index < next_hop and " (was asked)" or index == next_hop and " (is asked next)" or "")
	end
	tree:add(f.chance, chance_of(next_hop, hop_count)):set_generated()
end

function glb.dissector(buffer, pinfo, tree)
	local fault = fault_of(buffer)
	local hop_count = buffer:len() >= HEADER_BYTES and buffer(7, 1):uint() or 0
	local length = math.min(HEADER_BYTES + hop_count * HOP_BYTES, buffer:len())
	local root = tree:add(glb, buffer(0, length))

	pinfo.cols.protocol = "GLB"
	if buffer:len() >= HEADER_BYTES then
		add_header(root, buffer)
	end
	if fault then
		root:add_proto_expert_info(malformed, fault)
		pinfo.cols.info = "GLB, malformed: " .. fault
		return
	end
	local next_hop = buffer(6, 1):uint()
	add_hops(root, buffer, next_hop, hop_count)
	root:append_text(string.format(", hop %d of %d", next_hop, hop_count))
	local inside = PROTOCOLS[buffer(1, 1):uint()] == "IPv4" and "ip" or "ipv6"
	Dissector.get(inside):call(buffer(length):tvb(), pinfo, root)
end

DissectorTable.get("udp.port"):add(PORT, glb)
