package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// blocked are the networks that are not the public internet.
// Source: IANA IPv4 Special-Purpose Address Registry.
var blocked = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/3",
}

// before is the priority of our filters: ahead of the host's own.
const before = -10

func (g *Gateway) tableName() string { return "lambdad-" + g.node }

// setRules replaces the node's table in one transaction.
func (g *Gateway) setRules(dropOthers bool) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("egress: nftables: %w", err)
	}
	table := &nftables.Table{Name: g.tableName(), Family: nftables.TableFamilyIPv4}
	// Adding a table that is there is no error; then it can be deleted, and
	// made anew, in the same transaction.
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	private := &nftables.Set{Table: table, Name: "blocked", KeyType: nftables.TypeIPAddr, Interval: true}
	if err := c.AddSet(private, elements()); err != nil {
		return fmt.Errorf("egress: nftables: %w", err)
	}
	g.inputRules(c, table)
	g.forwardRules(c, table, private, dropOthers)
	g.sourceRules(c, table)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("egress: nftables: %w", err)
	}
	return nil
}

func (g *Gateway) deleteRules() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("egress: nftables: %w", err)
	}
	c.DelTable(&nftables.Table{Name: g.tableName(), Family: nftables.TableFamilyIPv4})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("egress: nftables: %w", err)
	}
	return nil
}

func tableExists(name string) (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == name }), nil
}

// inputRules: nothing of the host is for sandboxes.
func (g *Gateway) inputRules(c *nftables.Conn, table *nftables.Table) {
	chain := g.chain(c, table, "input", nftables.ChainTypeFilter, nftables.ChainHookInput, before)
	g.rule(c, chain, g.from(), refused())
}

// forwardRules: from a sandbox to the public internet, and the answers back.
func (g *Gateway) forwardRules(c *nftables.Conn, table *nftables.Table, private *nftables.Set, dropOthers bool) {
	chain := g.chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, before)
	answers := []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
	g.rule(c, chain, g.from(), g.source(expr.CmpOpNeq), verdict(expr.VerdictDrop))
	g.rule(c, chain, g.from(), []expr.Any{destination(),
		&expr.Lookup{SourceRegister: 1, SetName: private.Name, SetID: private.ID}}, refused())
	g.rule(c, chain, g.to(), answers, g.notFrom(), verdict(expr.VerdictAccept))
	g.rule(c, chain, g.to(), verdict(expr.VerdictDrop))
	g.rule(c, chain, g.from(), verdict(expr.VerdictAccept))
	if dropOthers {
		// The host forwarded nothing before we switched it on, and shall not
		// become a router for anybody else.
		g.rule(c, chain, verdict(expr.VerdictDrop))
	}
}

// sourceRules: the world sees the host's address.
func (g *Gateway) sourceRules(c *nftables.Conn, table *nftables.Table) {
	chain := g.chain(c, table, "source", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100)
	g.rule(c, chain, g.source(expr.CmpOpEq), []expr.Any{&expr.Masq{}})
}

func (g *Gateway) chain(c *nftables.Conn, table *nftables.Table, name string, kind nftables.ChainType, hook *nftables.ChainHook, priority int) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return c.AddChain(&nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: hook,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(priority)), Policy: &accept})
}

func (g *Gateway) rule(c *nftables.Conn, chain *nftables.Chain, parts ...[]expr.Any) {
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: slices.Concat(parts...)})
}

// from and to match our links; the comparison is of the prefix only.
func (g *Gateway) from() []expr.Any    { return g.link(expr.MetaKeyIIFNAME, expr.CmpOpEq) }
func (g *Gateway) notFrom() []expr.Any { return g.link(expr.MetaKeyIIFNAME, expr.CmpOpNeq) }
func (g *Gateway) to() []expr.Any      { return g.link(expr.MetaKeyOIFNAME, expr.CmpOpEq) }

func (g *Gateway) link(key expr.MetaKey, op expr.CmpOp) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: []byte(g.prefix)}}
}

// source compares the source address with the node's block.
func (g *Gateway) source(op expr.CmpOp) []expr.Any {
	mask := uint32(0xffffffff) - (2*blockLinks - 1)
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binary.BigEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: binary.BigEndian.AppendUint32(nil, g.block)},
	}
}

func destination() expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// refused tells the caller at once: an SDK that looks for a metadata service
// must not wait for a timeout. 13 is "administratively prohibited".
func refused() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 13}}
}

// elements are the blocked ranges as nftables wants them: each start, and the
// first address after it.
func elements() []nftables.SetElement {
	var list []nftables.SetElement
	for _, text := range blocked {
		prefix := netip.MustParsePrefix(text)
		start := prefix.Addr().As4()
		first := binary.BigEndian.Uint32(start[:])
		list = append(list, nftables.SetElement{Key: start[:]})
		// The last range ends with the address space, and has no end.
		if after := uint64(first) + 1<<(32-prefix.Bits()); after <= 0xffffffff {
			list = append(list, nftables.SetElement{Key: binary.BigEndian.AppendUint32(nil, uint32(after)), IntervalEnd: true})
		}
	}
	return list
}

// gone tells errors about a link that vanished with its namespace.
func gone(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV) || errors.Is(err, net.ErrClosed)
}
