package main

import (
	"log"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type saramaProducer struct {
	topic     string
	producer  sarama.AsyncProducer
	unsettled sync.WaitGroup
	told      sync.WaitGroup
}

// startSarama makes it idempotent, which is not its default, with as many retries as a restart of a broker wants.
func startSarama(bootstrap, topic string, chosen settings) producer {
	sarama.Logger = log.New(os.Stderr, "", log.LstdFlags|log.Lmicroseconds)
	config := sarama.NewConfig()
	config.ClientID = chosen.clientID
	config.Version = sarama.V3_6_0_0
	config.Net.MaxOpenRequests = 1
	config.Metadata.Retry.Max = 1000
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Retry.Max = 1000
	config.Producer.Retry.Backoff = 100 * time.Millisecond
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = newPartitioner
	if chosen.requestTimeout > 0 {
		config.Net.ReadTimeout = chosen.requestTimeout
	}
	started, err := sarama.NewAsyncProducer([]string{bootstrap}, config)
	must(err)
	driven := &saramaProducer{topic: topic, producer: started}
	driven.told.Add(2)
	go driven.successes()
	go driven.failures()
	return driven
}

func (driven *saramaProducer) send(id string, partition int32) {
	driven.unsettled.Add(1)
	driven.producer.Input() <- &sarama.ProducerMessage{
		Topic:    driven.topic,
		Value:    sarama.StringEncoder(id),
		Metadata: wanted{id, partition},
	}
}

func (driven *saramaProducer) flush() {
	driven.unsettled.Wait()
}

func (driven *saramaProducer) close() {
	driven.producer.AsyncClose()
	driven.told.Wait()
}

func (driven *saramaProducer) successes() {
	defer driven.told.Done()
	for message := range driven.producer.Successes() {
		acked(message.Metadata.(wanted).id, message.Partition, message.Offset)
		driven.unsettled.Done()
	}
}

func (driven *saramaProducer) failures() {
	defer driven.told.Done()
	for failure := range driven.producer.Errors() {
		failed(failure.Msg.Metadata.(wanted).id, failure.Err)
		driven.unsettled.Done()
	}
}

// wanted is what a record brings along: its id, and the partition that the test wants.
type wanted struct {
	id        string
	partition int32
}

// partitioner puts records where they say, or into each partition in its turn.
type partitioner struct {
	next int32
}

func newPartitioner(string) sarama.Partitioner {
	return &partitioner{next: -1}
}

func (driven *partitioner) Partition(message *sarama.ProducerMessage, partitions int32) (int32, error) {
	if want := message.Metadata.(wanted).partition; want != anyPartition {
		return want, nil
	}
	driven.next = (driven.next + 1) % partitions
	return driven.next, nil
}

func (driven *partitioner) RequiresConsistency() bool {
	return true
}
