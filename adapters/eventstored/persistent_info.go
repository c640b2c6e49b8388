package eventstored

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
)

func (p *persistentService) GetInfo(ctx context.Context, req *persistent.GetInfoReq) (*persistent.GetInfoResp, error) {
	o := req.GetOptions()
	key := requestedKey(o.GetStreamIdentifier(), o.GetGroupName())
	g, err := p.groups.get(key)
	if err != nil {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, key, err)
	}
	info, err := g.info(ctx)
	if err != nil {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, key, err)
	}
	return &persistent.GetInfoResp{SubscriptionInfo: info}, nil
}

func (p *persistentService) List(ctx context.Context, req *persistent.ListReq) (*persistent.ListResp, error) {
	stream := ""
	if l := req.GetOptions().GetListForStream(); l != nil {
		stream = requestedKey(l.GetStream(), "").Stream
	}
	groups := p.groups.list(stream)
	if len(groups) == 0 && stream != "" {
		return nil, refuseGroup(unaryTrailer{ctx, p.server}, groupKey{Stream: stream}, errGroupMissing)
	}
	resp := &persistent.ListResp{}
	for _, g := range groups {
		info, err := g.info(ctx)
		if err != nil {
			return nil, refuseGroup(unaryTrailer{ctx, p.server}, g.settings.groupKey, err)
		}
		resp.Subscriptions = append(resp.Subscriptions, info)
	}
	return resp, nil
}

func (g *group) resolveLinks() bool { return g.settings.ResolveLinks }

// info reports the settings and the state of the group. Rates are not measured.
func (g *group) info(ctx context.Context) (*persistent.SubscriptionInfo, error) {
	if err := g.load(ctx); err != nil {
		return nil, err
	}
	first, end, err := g.parked(ctx)
	if err != nil {
		return nil, err
	}
	known, hasKnown, err := g.lastKnown(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.settings
	info := &persistent.SubscriptionInfo{
		EventSource: s.Stream, GroupName: s.Name, Status: "Live", TotalItems: g.total,
		LastKnownEventPosition: s.placeText(known, hasKnown), ResolveLinkTos: s.ResolveLinks, StartFrom: s.StartFrom,
		MessageTimeoutMilliseconds: s.MessageTimeoutMS, ExtraStatistics: s.ExtraStats, MaxRetryCount: s.MaxRetryCount,
		LiveBufferSize: s.LiveBufferSize, BufferSize: s.HistoryBufferSize, ReadBatchSize: s.ReadBatchSize,
		CheckPointAfterMilliseconds: s.CheckpointAfterMS, MinCheckPointCount: s.MinCheckpointCount,
		MaxCheckPointCount: s.MaxCheckpointCount, ReadBufferCount: int32(len(g.waiting)),
		RetryBufferCount: int32(len(g.again)), TotalInFlightMessages: int32(g.inFlight),
		OutstandingMessagesCount: int32(g.inFlight), NamedConsumerStrategy: string(s.Strategy),
		MaxSubscriberCount: s.MaxSubscriberCount, ParkedMessageCount: end - first,
	}
	if g.hasCheckpoint && g.checkpoint > 0 {
		info.LastCheckpointedEventPosition = s.placeText(g.checkpoint-1, true)
	}
	for _, c := range g.consumers {
		info.Connections = append(info.Connections, &persistent.SubscriptionInfo_ConnectionInfo{
			From: c.name, Username: "anonymous", TotalItems: c.total,
			AvailableSlots: int32(c.slots - len(c.inFlight)), InFlightMessages: int32(len(c.inFlight)),
		})
	}
	return info, nil
}

// lastKnown returns the newest place in the group's source.
func (g *group) lastKnown(ctx context.Context) (place uint64, ok bool, err error) {
	if g.settings.all() {
		newest, err := g.store.ReadAllBackwards(g.store.End(), 1)
		if err != nil || len(newest) == 0 {
			return 0, false, err
		}
		return newest[0].Position, true, nil
	}
	view, err := g.store.Stream(ctx, g.settings.Stream)
	if err != nil || view.Last() < 0 {
		return 0, false, err
	}
	return uint64(view.Last()), true, nil
}
